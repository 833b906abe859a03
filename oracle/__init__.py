"""Input as it comes from outside: strict readers of readings and trades, and what is missing from them."""
