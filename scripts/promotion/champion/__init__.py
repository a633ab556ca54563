"""Who is champion: pins, the desired state, its checks, moving to it, its history."""
