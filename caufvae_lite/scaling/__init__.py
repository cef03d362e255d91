"""One run on several processes, in several rounds, or stopped and resumed."""
