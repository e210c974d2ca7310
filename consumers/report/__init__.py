"""What was observed and found, told to others: Nuncius, Treasure Map, the Transient Name Server."""
