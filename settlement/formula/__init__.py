"""Revenue-flow formulas: text compiled to the programs that the chain keeps, evaluated exactly, printed back as text."""
