"""What ``make bench`` runs: each figure beside its own limit, in the same run on the same machine."""
