"""What every table is made of: the metadata, and columns that recur."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKeyConstraint, MetaData, Uuid, func

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Time = DateTime(timezone=True)
Id = Uuid(as_uuid=True)


def tenant_key() -> tuple[Column, Column]:  # type: ignore[type-arg]  # a Column's type says nothing here
    """The primary key of a row that belongs to a tenant."""
    return Column("tenant_id", Id, primary_key=True), Column("id", Id, primary_key=True)


def made_at(name: str = "created_at") -> Column:  # type: ignore[type-arg]  # as above
    """When the row was made, by the database's clock."""
    return Column(name, Time, nullable=False, server_default=func.now())


def belongs_to_tenant() -> ForeignKeyConstraint:
    """The row's tenant exists."""
    return ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE")


def points_to(table: str, column: str) -> ForeignKeyConstraint:
    """The row points at a row of the same tenant, and can point at no other tenant's."""
    return ForeignKeyConstraint(
        ["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE"
    )


def one_of(column: str, *values: str) -> CheckConstraint:
    """The column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)
