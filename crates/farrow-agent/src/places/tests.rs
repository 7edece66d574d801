use futures::FutureExt as _;

use super::*;

const ROOM: Room = Room { total: 100, reserve: 0 };

fn enter(places: &Arc<Places>, user: u32, room: Room) -> Result<Place, Full> {
    places.enter(&User::Unix(user), room).map(|(place, _)| place)
}

fn is_ousted(place: &Place) -> bool {
    place.ousted().now_or_never().is_some()
}

#[test]
fn one_user_has_a_half_and_every_other_one_finds_a_place() {
    let places = Places::new(Duration::ZERO);
    let mut all = Vec::new();
    for user in 0..6 {
        let before = all.len();
        while let Ok(place) = enter(&places, user, ROOM) {
            place.busy();
            all.push(place);
        }
        assert!(all.len() > before, "user {user} found no place");
        if user == 0 {
            assert!((49..=51).contains(&all.len()), "{}", all.len());
        }
    }
    assert!(all.len() <= ROOM.total && !all.iter().any(is_ousted));
}

#[test]
fn the_one_that_is_idle_longest_gives_way_to_its_own_user() {
    let places = Places::new(Duration::ZERO);
    let other = enter(&places, 2, ROOM).unwrap();
    let mut mine: Vec<Place> = (0..60).map(|_| enter(&places, 1, ROOM).unwrap()).collect();
    let ousted = mine.iter().filter(|place| is_ousted(place)).count();
    assert_eq!((ousted, is_ousted(&other)), (10, false), "those of the same user, as many as came too many");
    assert!(mine[..10].iter().all(is_ousted), "the oldest first");
    // One that begins to be idle again is the last to go.
    mine[10].idle();
    mine.push(enter(&places, 1, ROOM).unwrap());
    assert!(is_ousted(&mine[11]) && !is_ousted(&mine[10]));
    // A place that was lost is free only once.
    mine.truncate(10);
    assert_eq!(places.taken().seats.len(), 1);
}

#[test]
fn who_is_busy_or_was_so_just_now_stays() {
    let places = Places::new(Duration::from_secs(3600));
    let idle: Vec<Place> = (0..50).map(|_| enter(&places, 1, ROOM).unwrap()).collect();
    assert_eq!(enter(&places, 1, ROOM).err(), Some(Full { has: 50, taken: 50 }));
    assert!(!idle.iter().any(is_ousted));
}

#[test]
fn who_has_a_reserve_gets_in_when_all_places_are_taken() {
    let places = Places::new(Duration::ZERO);
    let busy = (0..200).filter_map(|user| enter(&places, user, ROOM).ok().inspect(Place::busy));
    let busy: Vec<Place> = busy.collect();
    assert_eq!(busy.len(), ROOM.total);
    assert!(enter(&places, 1000, ROOM).is_err(), "nobody is idle");
    let reserved = Room { reserve: 4, ..ROOM };
    let root: Vec<Place> = (0..4).map(|_| enter(&places, 0, reserved).unwrap()).collect();
    root.iter().for_each(Place::busy);
    assert!(enter(&places, 0, reserved).is_err());
    // Of those who have most one gives way to who has nothing.
    root[0].idle();
    assert!(enter(&places, 1000, ROOM).is_ok() && is_ousted(&root[0]));
}

#[test]
fn where_the_system_has_nothing_left_whoever_is_idle_gives_way() {
    let places = Places::new(Duration::ZERO);
    let busy: Vec<Place> = (0..20).map(|_| enter(&places, 1, ROOM).unwrap()).collect();
    busy.iter().for_each(Place::busy);
    let few: Vec<Place> = (0..2).map(|_| enter(&places, 2, ROOM).unwrap()).collect();
    let more: Vec<Place> = (0..3).map(|_| enter(&places, 3, ROOM).unwrap()).collect();
    let gone = |places: &[Place]| places.iter().filter(|place| is_ousted(place)).count();
    for (of_few, of_more) in [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)] {
        // Two users that have as many are equal.
        assert!(places.oust_any());
        assert_eq!(gone(&few) + gone(&more), of_few + of_more);
    }
    assert!(!places.oust_any() && gone(&busy) == 0);
}
