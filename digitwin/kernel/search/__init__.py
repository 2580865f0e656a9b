"""Full-text search in any language: the query language, and the words of texts and questions."""
