"""Has the world moved since the model was made, and does it matter?"""
