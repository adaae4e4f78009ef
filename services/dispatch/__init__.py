"""Due rows to queues; opens partitions; sweeps stuck rows and deliveries."""
