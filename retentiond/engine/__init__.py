"""What is done with a plan: counting, chunks, the one gate. It reads no policy text and decides no wording."""
