"""What a row may know beyond itself when it is asked about: kept by the bundle, and by what has been heard since."""
