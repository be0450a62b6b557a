"""What makes a plan the one that it is: in what two differ, and how that is said."""
