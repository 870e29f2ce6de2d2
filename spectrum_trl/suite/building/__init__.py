"""Write the sequences of tasks to parquet once, and read them back."""
