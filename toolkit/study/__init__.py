"""How many labels did pretraining save: the same task with few labels and with many, by every method, fairly."""
