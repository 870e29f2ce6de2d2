"""What a machine lacks, and what a recipe needs: memory by part, time, and cost, before hours are spent."""
