"""Extreme events: where tropical cyclones, filaments, blocks and heat are, or will be some days later."""
