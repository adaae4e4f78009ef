"""`outreach bench queue`: what the engine costs, row by row, on a server of its own."""
