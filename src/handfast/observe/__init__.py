"""What sees a connection from the side: traces, explanations, the key log. The core knows nothing of it."""
