"""What is asked: volumes, lengths, service level, where data may go."""
