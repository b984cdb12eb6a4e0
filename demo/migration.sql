BEGIN;
CREATE TABLE public.customers (
    id    bigint PRIMARY KEY,
    name  text NOT NULL,
    email text
);
CREATE TABLE public.orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES public.customers,
    total    numeric(10, 2) NOT NULL
);
INSERT INTO public.customers VALUES (1, 'Ada', 'ada@example.com'), (2, 'Grace', 'grace@example.com');
INSERT INTO public.orders (customer, total) VALUES (1, 12.50), (2, 99.00), (2, 7.20);
COMMIT;
