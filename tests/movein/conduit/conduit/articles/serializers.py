"""What an article looks like outside."""

from marshmallow import Schema, fields, post_dump, pre_load, validate


class ArticleSchema(Schema):
    slug = fields.Str(dump_only=True)
    title = fields.Str(required=True, validate=validate.Length(max=100))
    body = fields.Str(required=True)
    created_at = fields.DateTime(dump_only=True, data_key="createdAt")
    author = fields.Function(lambda article: {"username": article.author.username})

    @pre_load
    def unwrap(self, data, **kwargs):
        return data.get("article", {})

    @post_dump(pass_collection=True)
    def wrap(self, data, many, **kwargs):
        return {"articles": data, "articlesCount": len(data)} if many else {"article": data}


article_schema = ArticleSchema()
articles_schema = ArticleSchema(many=True)
