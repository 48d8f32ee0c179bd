"""What the project's speed claims rest on: each benchmark prints ratios against a named peer."""
