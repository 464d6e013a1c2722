from flask_wtf import FlaskForm
from wtforms import SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length


class PostForm(FlaskForm):
    post = TextAreaField("Say something", validators=[DataRequired(), Length(max=140)])
    submit = SubmitField("Submit")


class EmptyForm(FlaskForm):
    submit = SubmitField("Export my posts")
