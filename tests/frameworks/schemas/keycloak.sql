-- Keycloak 26: the tables of users, as its start makes them.
create table keycloak_role (
  id character varying(36) not null constraint constraint_a primary key,
  client_realm_constraint character varying(255),
  client_role boolean default false not null,
  description character varying(255),
  name character varying(255),
  realm_id character varying(255)
);
create table user_entity (
  id character varying(36) not null,
  email character varying(255),
  email_constraint character varying(255),
  email_verified boolean default false not null,
  enabled boolean default false not null,
  federation_link character varying(255),
  first_name character varying(255),
  last_name character varying(255),
  realm_id character varying(255),
  username character varying(255),
  created_timestamp bigint,
  service_account_client_link character varying(255),
  not_before integer default 0 not null,
  constraint constraint_fb primary key (id),
  constraint uk_dykn684sl8up1crfei6eckhd7 unique (realm_id, email_constraint),
  constraint uk_ru8tt6t700s9v50bu18ws5ha6 unique (realm_id, username)
);
create index idx_user_email on user_entity (email);
create index idx_user_service_account on user_entity (realm_id, service_account_client_link);
create table user_role_mapping (
  role_id character varying(255) not null,
  user_id character varying(36) not null constraint fk_c4fqv34p1mbylloxang7b1q3l references user_entity (id),
  constraint constraint_c primary key (role_id, user_id)
);
create index idx_user_role_mapping on user_role_mapping (user_id);

insert into user_entity (id, username, realm_id, enabled)
values ('0b6a8a4e-8b7e-4b07-9a59-6f1d2f3c4d5e', 'ada', '6f1d2f3c-0b6a-4b07-8b7e-9a598a4e4d5e', true),
       ('1c7b9b5f-9c8f-4c18-8b6a-7a2e3a4d5e6f', 'bob', '6f1d2f3c-0b6a-4b07-8b7e-9a598a4e4d5e', true);
