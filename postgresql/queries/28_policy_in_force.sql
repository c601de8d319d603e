-- question: Which refill policy counts for each shelf (shelf before subcategory before category before store)?
-- columns: the policy's threshold_pct, min_qty, target_pct; from: what it is for
select distinct on (p.store_id, p.shelf_id)
       p.store_id, p.shelf_id, r.threshold_pct, r.min_qty, r.target_pct,
       case when r.shelf_id is not null then 'shelf' when r.item_subcategory is not null then 'subcategory'
            when r.item_category is not null then 'category' else 'store' end as "from"
from config.shelf_profiles p
join config.shelf_policies r
  on r.active
 and (r.store_id is null or r.store_id = p.store_id)
 and (r.shelf_id is null or r.shelf_id = p.shelf_id)
 and (r.item_category is null or r.item_category = p.category)
 and (r.item_subcategory is null or r.item_subcategory = p.subcategory)
order by p.store_id, p.shelf_id,
         r.shelf_id nulls last, r.item_subcategory nulls last, r.item_category nulls last, r.store_id nulls last;
