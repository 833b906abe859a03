"""All contracts together under a state machine, compared with a plain model after every step."""
