import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lets customers have the same e-mail address: nobody has shown that one is theirs, so it keeps nobody else from it. */
export class ShareAddresses1763800000000 implements MigrationInterface {
  readonly name = 'ShareAddresses1763800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table shop.customer drop constraint customer_email_key');
  }

  /** Fails where customers have the same address by now, and changes nothing then. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table shop.customer add constraint customer_email_key unique (email)');
  }
}
