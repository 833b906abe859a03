"""How the tables came to be what they are: an Alembic revision a file in `versions/`, in the order of their numbers."""
