from django.db import migrations, models

from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Touched",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("site_id", models.UUIDField()),
                ("kind", models.CharField(max_length=16)),
                ("key", models.UUIDField()),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "indexes": [models.Index(fields=["site_id"], name="touched_site")],
            },
        ),
        SiteWall("Touched", app="INSERT", system="SELECT, INSERT, DELETE"),
    ]
