"""What a server carries: models, accelerators, memory, speed, and the number of servers that follows."""
