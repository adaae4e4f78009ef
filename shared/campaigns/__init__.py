"""What campaigns mean: the graph, visits, transitions, suppression, templates, checks before a send."""
