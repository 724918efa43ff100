-- Prisma: the models User and Post of its quickstart, as prisma migrate makes them.
create table "_prisma_migrations" (
  id varchar(36) primary key not null,
  checksum varchar(64) not null,
  finished_at timestamptz,
  migration_name varchar(255) not null,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz not null default now(),
  applied_steps_count integer not null default 0
);
create table "User" (
  "id" serial not null,
  "email" text not null,
  "name" text,
  constraint "User_pkey" primary key ("id")
);
create table "Post" (
  "id" serial not null,
  "title" text not null,
  "content" text,
  "published" boolean not null default false,
  "authorId" integer not null,
  constraint "Post_pkey" primary key ("id")
);
create unique index "User_email_key" on "User" ("email");
alter table "Post" add constraint "Post_authorId_fkey"
  foreign key ("authorId") references "User" ("id") on delete restrict on update cascade;

insert into "User" ("email", "name") values ('ada@app.example', 'Ada'), ('bob@app.example', null);
insert into "Post" ("title", "authorId") values ('Notes', 1);
