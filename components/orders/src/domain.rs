//! The rules of orders, pure.

use provesi_sdk::Choice;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Stored, not yet placed.
    Pending,
    /// Placed in a warehouse.
    Confirmed,
    /// No warehouse had enough.
    Rejected,
    /// Called off.
    Cancelled,
    /// On its way.
    InTransit,
    /// There.
    Delivered,
}

impl Choice for Status {
    const ALL: &'static [(&'static str, Self)] = &[
        ("PENDING", Self::Pending),
        ("CONFIRMED", Self::Confirmed),
        ("REJECTED", Self::Rejected),
        ("CANCELLED", Self::Cancelled),
        ("IN_TRANSIT", Self::InTransit),
        ("DELIVERED", Self::Delivered),
    ];
}

impl Status {
    /// Returns the name that is stored and sent.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, status)| *status == self).map_or("", |(name, _)| name)
    }

    /// Returns the name that people read.
    pub fn display(self) -> &'static str {
        match self {
            Self::Pending => "Pendiente",
            Self::Confirmed => "Confirmado",
            Self::Rejected => "Rechazado",
            Self::Cancelled => "Cancelado",
            Self::InTransit => "En Tránsito",
            Self::Delivered => "Entregado",
        }
    }

    /// Says whether an order may go on to another status.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Cancelled, Confirmed, Delivered, InTransit, Pending, Rejected};
        matches!(
            (self, next),
            (Pending, Confirmed | Rejected | Cancelled)
                | (Confirmed, InTransit | Cancelled)
                | (InTransit, Delivered | Cancelled)
        )
    }
}

/// A warehouse that could serve an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
}

/// A warehouse that holds an order's units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warehouse {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

impl From<Candidate> for Warehouse {
    fn from(candidate: Candidate) -> Self {
        Self { id: candidate.id, name: candidate.name }
    }
}

/// Sorts candidates: the preferred one first, then by distance from the client, ties by lowest id.
pub fn rank(candidates: &mut [Candidate], preferred: Option<&str>, latitude: f64, longitude: f64) {
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate| {
            let distance = haversine_km(latitude, longitude, candidate.latitude, candidate.longitude);
            (Some(candidate.name.as_str()) != preferred, distance, candidate.id)
        };
        let ((a_other, a_distance, a_id), (b_other, b_distance, b_id)) = (key(a), key(b));
        a_other.cmp(&b_other).then(a_distance.total_cmp(&b_distance)).then(a_id.cmp(&b_id))
    });
}

/// Returns the great-circle distance on a sphere of 6371 km.
pub fn haversine_km(from_lat: f64, from_lon: f64, to_lat: f64, to_lon: f64) -> f64 {
    const RADIUS_KM: f64 = 6371.0;
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let a = half(to_lat - from_lat) + from_lat.to_radians().cos() * to_lat.to_radians().cos() * half(to_lon - from_lon);
    2.0 * RADIUS_KM * a.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_those_of_the_contract() {
        let allowed: Vec<(&str, &str)> = Status::ALL
            .iter()
            .flat_map(|(from, a)| Status::ALL.iter().map(move |(to, b)| (*from, *a, *to, *b)))
            .filter(|(_, a, _, b)| a.may_become(*b))
            .map(|(from, _, to, _)| (from, to))
            .collect();
        assert_eq!(
            allowed,
            [
                ("PENDING", "CONFIRMED"),
                ("PENDING", "REJECTED"),
                ("PENDING", "CANCELLED"),
                ("CONFIRMED", "CANCELLED"),
                ("CONFIRMED", "IN_TRANSIT"),
                ("IN_TRANSIT", "CANCELLED"),
                ("IN_TRANSIT", "DELIVERED"),
            ]
        );
    }

    #[test]
    fn the_preferred_warehouse_comes_first_then_the_nearest() {
        let candidate = |id, name: &str, latitude| Candidate { id, name: name.to_owned(), latitude, longitude: -74.0 };
        let all = [
            candidate(1, "Norte", 4.9),
            candidate(2, "Centro", 4.6),
            candidate(4, "Par", 4.5),
            candidate(3, "Gemela", 4.5),
        ];
        let ranked = |preferred| {
            let mut found = all.to_vec();
            rank(&mut found, preferred, 4.6, -74.0);
            found.iter().map(|found| found.id).collect::<Vec<_>>()
        };
        assert_eq!(ranked(None), [2, 3, 4, 1]);
        assert_eq!(ranked(Some("Norte")), [1, 2, 3, 4]);
        assert_eq!(ranked(Some("Otra")), [2, 3, 4, 1]);
    }

    #[test]
    fn distances_are_those_of_a_sphere() {
        assert!(haversine_km(4.6, -74.0, 4.6, -74.0).abs() < 1e-9);
        assert!((haversine_km(0.0, 0.0, 0.0, 180.0) - std::f64::consts::PI * 6371.0).abs() < 1e-6);
        // Bogotá to Medellín.
        assert!((haversine_km(4.7110, -74.0721, 6.2442, -75.5812) - 238.5).abs() < 2.0);
    }
}
