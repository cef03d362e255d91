"""Real pictures as a `FactorDataset`: handwriting, and the reader's own copy of CelebA."""
