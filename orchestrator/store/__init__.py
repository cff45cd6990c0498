"""What is known: finished artifacts and their records."""
