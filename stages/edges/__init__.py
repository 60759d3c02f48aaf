"""The only code that touches disk, network, cluster and parameters."""
