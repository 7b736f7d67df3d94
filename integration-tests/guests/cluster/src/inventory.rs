//! Stock, orders and customers.

use std::collections::BTreeMap;

use crate::store::Store;

/// Stock, orders and customers.
#[derive(Default)]
pub(crate) struct Inventory {
    pub(crate) store: Store,
    stock: BTreeMap<String, u64>,
    /// Those that are open.
    orders: BTreeMap<String, Order>,
}

#[derive(Clone)]
struct Order {
    n: u64,
    item: String,
    customer: String,
}

impl Inventory {
    /// Applies a command. One that is refused, or not understood, changes nothing.
    pub(crate) fn apply(&mut self, command: &str) {
        let words: Vec<_> = command.split(' ').collect();
        // Whether something has changed is seen by the revision.
        let _ = match words[..] {
            ["deliver", n, item] => self.deliver(n, item),
            ["order", order, n, item, customer] => self.order(order, n, item, customer),
            ["ship", order] => self.ship(order),
            ["cancel", order] => self.cancel(order),
            _ => None,
        };
    }

    fn deliver(&mut self, n: &str, item: &str) -> Option<()> {
        let n: u64 = n.parse().ok()?;
        *self.stock.entry(item.to_owned()).or_default() += n;
        self.store.write([self.stock_of(item)]);
        Some(())
    }

    fn order(&mut self, order: &str, n: &str, item: &str, customer: &str) -> Option<()> {
        let n: u64 = n.parse().ok()?;
        let stock = self.stock.get_mut(item)?;
        *stock = stock.checked_sub(n)?;
        let placed = Order {
            n,
            item: item.to_owned(),
            customer: customer.to_owned(),
        };
        self.orders.insert(order.to_owned(), placed.clone());
        let changes = [
            placed.entry(order, ""),
            self.stock_of(item),
            self.customer(customer),
        ];
        self.store.write(changes);
        Some(())
    }

    fn ship(&mut self, order: &str) -> Option<()> {
        let shipped = self.orders.remove(order)?;
        let changes = [
            shipped.entry(order, ", shipped"),
            self.customer(&shipped.customer),
        ];
        self.store.write(changes);
        Some(())
    }

    fn cancel(&mut self, order: &str) -> Option<()> {
        let canceled = self.orders.remove(order)?;
        *self.stock.get_mut(&canceled.item)? += canceled.n;
        let changes = [
            canceled.entry(order, ", canceled"),
            self.stock_of(&canceled.item),
            self.customer(&canceled.customer),
        ];
        self.store.write(changes);
        Some(())
    }

    fn stock_of(&self, item: &str) -> (String, String) {
        (format!("stock/{item}"), self.stock[item].to_string())
    }

    fn customer(&self, customer: &str) -> (String, String) {
        let open = self.orders.values();
        let n_open = open.filter(|order| order.customer == customer).count();
        let plural = if n_open == 1 { "" } else { "s" };
        let value = format!("{n_open} open order{plural}");
        (format!("customer/{customer}"), value)
    }
}

impl Order {
    fn entry(&self, order: &str, state: &str) -> (String, String) {
        let Self { n, item, customer } = self;
        let value = format!("{n} {item} for {customer}{state}");
        (format!("order/{order}"), value)
    }
}
