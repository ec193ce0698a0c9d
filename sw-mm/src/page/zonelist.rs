// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! In which order nodes are asked: by distance, then by number.

use super::NodeId;
use super::error::ConfigError;

/// Distance of a node to itself.
const LOCAL: u8 = 10;

/// For each node, all nodes in the order in which a request for it tries them, itself first.
///
/// `distances` has a row for each node to start from, as the SLIT of ACPI; without rows all other
/// nodes are equally far. Where the matrix is not symmetric the row of the requesting node counts.
///
/// # Errors
/// [`ConfigError::DistanceShape`] and [`ConfigError::Distance`].
pub(super) fn zonelists(
    nodes: usize,
    distances: &[Vec<u8>],
) -> Result<Vec<Vec<NodeId>>, ConfigError> {
    if !distances.is_empty() {
        check(nodes, distances)?;
    }
    let list = |from: usize| {
        let distance = |to: NodeId| match distances.get(from) {
            Some(row) => row.get(usize::from(to.0)).copied().unwrap_or(u8::MAX),
            None if usize::from(to.0) == from => LOCAL,
            None => 2 * LOCAL,
        };
        let mut list: Vec<NodeId> = (0..nodes).map(|node| NodeId(node as u8)).collect();
        list.sort_by_key(|&to| (distance(to), to));
        list
    };
    Ok((0..nodes).map(list).collect())
}

fn check(nodes: usize, distances: &[Vec<u8>]) -> Result<(), ConfigError> {
    let odd = distances.iter().position(|row| row.len() != nodes);
    if odd.is_some() || distances.len() != nodes {
        let row = odd.unwrap_or(distances.len());
        return Err(ConfigError::DistanceShape {
            rows: distances.len(),
            row,
            columns: distances.get(row).map_or(0, Vec::len),
            nodes,
        });
    }
    for (from, row) in distances.iter().enumerate() {
        for (to, &distance) in row.iter().enumerate() {
            if (from == to) != (distance == LOCAL) || distance < LOCAL {
                return Err(ConfigError::Distance {
                    from: NodeId(from as u8),
                    to: NodeId(to as u8),
                    distance,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[NodeId]) -> Vec<u8> {
        list.iter().map(|node| node.0).collect()
    }

    #[test]
    fn nearer_nodes_come_first_and_ties_go_by_number() {
        let rows = vec![
            vec![10, 30, 20, 20],
            vec![30, 10, 30, 12],
            vec![20, 30, 10, 20],
            vec![11, 12, 255, 10],
        ];
        let lists = zonelists(4, &rows).expect("valid");
        assert_eq!(ids(&lists[0]), [0, 2, 3, 1]);
        assert_eq!(ids(&lists[1]), [1, 3, 0, 2]);
        assert_eq!(ids(&lists[2]), [2, 0, 3, 1]);
        assert_eq!(ids(&lists[3]), [3, 0, 1, 2]);
    }

    #[test]
    fn without_distances_the_local_node_comes_first() {
        let lists = zonelists(3, &[]).expect("valid");
        assert_eq!(ids(&lists[2]), [2, 0, 1]);
    }

    #[test]
    fn a_matrix_of_the_wrong_shape_is_refused() {
        let shape = |rows, row, columns| ConfigError::DistanceShape {
            rows,
            row,
            columns,
            nodes: 2,
        };
        let row = || vec![10, 20];
        assert_eq!(zonelists(2, &[row()]), Err(shape(1, 1, 0)));
        assert_eq!(zonelists(2, &[row(), vec![20]]), Err(shape(2, 1, 1)));
        assert_eq!(zonelists(2, &[row(), row(), row()]), Err(shape(3, 3, 0)));
    }

    #[test]
    fn a_node_is_nearest_to_itself_only() {
        for (row, to, distance) in [
            (vec![11, 20], 0, 11),
            (vec![10, 10], 1, 10),
            (vec![10, 9], 1, 9),
        ] {
            assert_eq!(
                zonelists(2, &[row, vec![20, 10]]),
                Err(ConfigError::Distance {
                    from: NodeId(0),
                    to: NodeId(to),
                    distance
                })
            );
        }
    }
}
