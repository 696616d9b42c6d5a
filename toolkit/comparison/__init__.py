"""The comparison of pretexts: the same backbone, the same computing, frozen features, the same tasks and seeds."""
