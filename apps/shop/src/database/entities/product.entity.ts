import {
  Check,
  Column,
  CreateDateColumn,
  DeleteDateColumn,
  Entity,
  PrimaryColumn,
  UpdateDateColumn,
  VersionColumn,
} from 'typeorm';

/** A product of the catalogue. A deleted one stays, so that its version goes on when it is made anew. */
@Entity({ schema: 'shop', name: 'product' })
@Check('product_price_check', 'price >= 0')
@Check('product_stock_check', 'stock >= 0')
export class ProductEntity {
  /** In the order of its bytes. */
  @PrimaryColumn('text', { collation: 'C', primaryKeyConstraintName: 'product_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  @Column('text', { nullable: true })
  description!: string | null;

  @Column('text', { nullable: true })
  category!: string | null;

  @Column('text', { array: true, nullable: true })
  tags!: string[] | null;

  /** In cents. */
  @Column('integer')
  price!: number;

  /** How many can be ordered. */
  @Column('integer')
  stock!: number;

  /** Grows with every change, also of the stock. */
  @VersionColumn({ type: 'integer' })
  version!: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt!: Date;

  @DeleteDateColumn({ name: 'deleted_at', type: 'timestamptz' })
  deletedAt!: Date | null;
}
