"""The prompt language: one grammar, one parser; wildcards, schedules, compositions, weights. No torch.

    a (red:1.2) [cat:dog:0.5] BREAK soft light AND a garden:0.6

`grammar.parse` reads a prompt, `wildcards.resolve` draws its random parts, `timeline.timeline` says what is
asked at each step, `phrase.read_phrase` splits what is left into words with weights. assets/docs/prompts.md has the
table of cases, which a test runs.
"""
