"""Who may reach the studio over the network: the gate, passphrases, guests and their budget. No gradio, no torch."""
