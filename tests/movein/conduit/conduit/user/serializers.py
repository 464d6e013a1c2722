"""What a user looks like outside."""

from marshmallow import Schema, fields, post_dump, pre_load


class UserSchema(Schema):
    username = fields.Str()
    email = fields.Email(required=True)
    password = fields.Str(required=True, load_only=True)
    token = fields.Str(dump_only=True)

    @pre_load
    def unwrap(self, data, **kwargs):
        return data.get("user", {})

    @post_dump
    def wrap(self, data, **kwargs):
        return {"user": data}


user_schema = UserSchema()
