import { Column, CreateDateColumn, Entity, PrimaryColumn, UpdateDateColumn, VersionColumn } from 'typeorm';

/** The name of the constraint that no two customers have the same id. */
export const UNIQUE_ID = 'customer_pkey';

/** Somebody who orders. */
@Entity({ schema: 'shop', name: 'customer' })
export class CustomerEntity {
  /** In the order of its bytes. */
  @PrimaryColumn('text', { collation: 'C', primaryKeyConstraintName: UNIQUE_ID })
  id!: string;

  @Column('text')
  name!: string;

  /** In lower case. Others may have the same one, since nobody has shown that it is theirs. */
  @Column('text')
  email!: string;

  /** Grows with every change. */
  @VersionColumn({ type: 'integer' })
  version!: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt!: Date;
}
