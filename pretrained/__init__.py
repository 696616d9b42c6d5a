"""Backbones that come with the toolkit: one folder each, with weights, configuration, card and recipe."""
