use futures::FutureExt as _;

use super::*;

fn now(shares: &Arc<Shares>, user: &User, amount: u64) -> Option<Share> {
    shares.take(user, amount).now_or_never()
}

#[test]
fn one_user_has_a_half_and_the_next_finds_its_part() {
    let shares = Shares::new(120);
    let take = |user: u32| {
        let user = User::Unix(user);
        std::iter::from_fn(|| now(&shares, &user, 1)).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for user in 0..6 {
        let got = take(user);
        assert!(!got.is_empty(), "user {user} found nothing");
        if user == 0 {
            assert!((59..=61).contains(&got.len()), "{}", got.len());
            assert!(!shares.is_ample(&User::Unix(0)) && shares.is_ample(&User::Unix(1)));
        }
        all.extend(got);
    }
    assert!(all.len() <= 120);
}

#[test]
fn what_goes_back_is_given_to_those_who_wait_in_order() {
    let shares = Shares::new(4);
    let (one, two) = (User::Unix(1), User::Unix(2));
    let first = now(&shares, &one, 1).unwrap();
    let second = now(&shares, &one, 1).unwrap();
    let mut third = Box::pin(shares.take(&one, 1));
    let mut fourth = Box::pin(shares.take(&one, 1));
    assert!((&mut third).now_or_never().is_none() && (&mut fourth).now_or_never().is_none());
    assert!(shares.try_take(&one, 0).is_none(), "others were first");
    // Another user is not kept waiting by those.
    drop(now(&shares, &two, 1).expect("another user's part"));
    drop(first);
    assert!((&mut fourth).now_or_never().is_none(), "the third comes first");
    let third = (&mut third).now_or_never().expect("what the first gave back");
    drop((second, third));
    assert!((&mut fourth).now_or_never().is_some());
}

#[test]
fn who_gives_up_waiting_leaves_nothing() {
    let shares = Shares::new(2);
    let user = User::Anonymous;
    let first = now(&shares, &user, 1).unwrap();
    // One that was not granted, and one that was and is not looked at any more.
    let mut gone = Box::pin(shares.take(&user, 1));
    assert!((&mut gone).now_or_never().is_none());
    let mut granted = Box::pin(shares.take(&user, 1));
    assert!((&mut granted).now_or_never().is_none());
    drop(gone);
    drop(first);
    drop(granted);
    assert!(shares.state().users.is_empty());
}

#[test]
fn the_parts_of_a_share_go_back_one_by_one() {
    let shares = Shares::new(100);
    let user = User::Unix(1);
    let mut whole = now(&shares, &user, 10).unwrap();
    whole.resize(30);
    let part = whole.split(12);
    assert_eq!((whole.amount, part.amount, shares.state().of(&user)), (18, 12, 30));
    drop(whole);
    assert_eq!(shares.state().of(&user), 12);
    let mut before = Box::pin(shares.take(&user, 99));
    assert!((&mut before).now_or_never().is_none());
    let mut later = Box::pin(shares.take_before(&user, 80));
    assert!((&mut later).now_or_never().is_none());
    drop(part);
    let later = (&mut later).now_or_never();
    assert!(later.is_some() && (&mut before).now_or_never().is_none());
}

#[test]
fn more_than_all_there_is_comes_to_who_has_nothing() {
    let shares = Shares::new(10);
    let (one, two, three) = (User::Unix(1), User::Unix(2), User::Unix(3));
    let large = now(&shares, &one, 1000).expect("nobody else has anything");
    assert!(shares.is_overdrawn(&one) && now(&shares, &one, 1).is_none());
    assert_eq!(shares.largest(), Some(one));
    // It takes no more from others than a user may have.
    let other = now(&shares, &two, 1000).expect("the other half");
    assert!(now(&shares, &three, 1).is_none());
    drop(large);
    assert!(now(&shares, &three, 1).is_some());
    drop(other);
}

#[test]
fn all_have_what_there_is_and_one_request_beyond() {
    const MOST: u64 = 40;
    let shares = Shares::new(120);
    let mut all = Vec::new();
    // The first user has more than a half while there is nobody else; the others ask for what counts as free then.
    for (user, amount) in [(1, MOST), (1, MOST), (2, 19), (2, 22), (3, 1), (3, 17), (4, MOST), (5, MOST)] {
        all.extend(now(&shares, &User::Unix(user), amount));
        assert!(shares.taken() < 120 + MOST, "{} with user {user}", shares.taken());
    }
    assert!(shares.taken() >= 120 && all.len() >= 5);
    let mut one = all.swap_remove(0);
    assert!(!one.try_grow(1), "there is nothing");
    drop(all);
    assert!(one.try_grow(MOST) && one.amount() == 2 * MOST);
    drop(one);
    assert!(shares.state().users.is_empty());
}
