"""One module per dataset, and the contract they keep."""
