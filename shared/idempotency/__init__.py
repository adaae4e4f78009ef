"""Remembered job ids."""
