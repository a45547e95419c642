"""The Gallery page beyond its frame: what the routes answer, the words, and (in .js files) what the browser does."""
