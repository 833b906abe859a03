"""Revenue-flow formulas: text compiled to the programs that the chain keeps, evaluated, and printed back as text."""
