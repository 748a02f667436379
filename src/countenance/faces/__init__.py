"""Image to faces: detect, align, measure quality, embed; the models and their cards."""
