"""Sentences as a telephone line has them, with numbers in the forms that people type."""

import random
import re
from collections.abc import Callable

TEMPLATES = """\
Your balance is {money}.
I have transferred {money} to your {account} account.
A payment of {money} is due on {date}.
The total comes to {money}, including tax.
We charged {money} to the card ending in {last4}.
Your appointment is on {day}, {date}, at {time}.
I can offer you {day} at {time}, or {day} at {time}.
Shall I book {day} at {time} for {person}?
Your confirmation number is {code}.
Your reference is {code}. Would you like me to repeat that?
Please call us back at {phone}.
Our number is {phone}, and we are open until {time}.
You can reach {person} at {phone} after {time}.
Thank you for calling {company}. How can I help you today?
Good morning, this is {person} from {company}.
Hello, you are speaking with {person}. What can I do for you?
Your call is important to us. Please stay on the line.
All of our agents are busy. Your estimated wait is {small} minutes.
You are number {small} in the queue.
Press {digit} for sales, {digit} for support, or {digit} to hear this again.
For {topic}, press {digit}.
To speak with an agent about {topic}, please say agent.
I did not catch that. Could you say it once more?
I am sorry, I could not find an order with that number.
Your order of {small} {item} will arrive on {day}.
The {item} you ordered shipped on {date}.
We have {small} {item} left in stock.
That will be {small} {item} for {money}. Is that right?
Your flight to {city} leaves at {time} from gate {gate}.
The next train to {city} departs at {time} from platform {small}.
The flight from {city} is delayed by {small} minutes.
In {city} it is {small} degrees and {weather}.
Tomorrow in {city} will be {weather}, with a high of {small}.
I have put you down for a table for {small} at {time} on {day}.
Your room at the hotel in {city} is booked from {date} to {date}.
Please enter the last four digits of your {account} account.
For security, please tell me your date of birth.
You said {code}. Is that correct?
Is {phone} still the best number to reach you?
Okay, {person}, I have updated your address.
One moment, please, while I look up {topic}.
Let me check {topic} for you.
I can help with {topic}, {topic} and {topic}.
Would you like to hear more about {topic}?
Great, {person}! Your {item} will be ready at {time}.
Your {account} account was opened on {date}.
The interest rate on your {account} account is {small}.{digit} percent.
The meeting with {person} has been moved from {day} to {day}.
{person} is not available at the moment. Would you like to leave a message?
This is a reminder of your visit with Doctor {surname} on {day} at {time}.
Your prescription number {last4} is ready to be picked up.
The code is {digits}. It expires in {small} minutes.
Take exit {small} and drive {small} miles toward {city}.
Our office is at {house} {surname} Street in {city}.
We will send a technician on {day} between {time} and {time}.
Your ticket number is {digits}. We will call you within {small} hours.
That makes {big} points on your {account} account.
In {year} there were {big} calls.
You have {small} new messages. The first one came on {day} at {time}.
Sure, {topic} is no problem at all.
Thanks for waiting, {person}. I found your {item}.
Goodbye, {person}, and have a great {day}!
I am transferring you to {person} now. Please hold.
Sorry about that, {person}. Let me try again.
If this is an emergency, hang up and dial 911.
This call may be recorded for quality and training.
""".splitlines()


def _names(text: str) -> tuple[str, ...]:
    """Of a list with commas."""
    return tuple(" ".join(name.split()) for name in text.split(","))


_DAYS = _names("""Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday""")
_MONTHS = _names(
    """January, February, March, April, May, June, July, August, September, October, November, December"""
)
_PEOPLE = _names(
    """Robin, Alex, Maria, James, Linda, Robert, Susan, Michael, Karen, David, Nancy, Thomas, Betty,
    Daniel, Sandra, Mark, Ashley, Paul, Emily, Steven, Donna, Andrew, Michelle, Joshua, Carol,
    Kevin, Amanda, Brian, Melissa, George, Laura, Edward, Sarah, Jason, Kimberly, Ryan, Angela,
    Jacob, Rachel, Gary, Julia, Eric, Anna, Peter, Sophia, Walter, Grace"""
)
_SURNAMES = _names(
    """Smith, Johnson, Brown, Jones, Miller, Davis, Wilson, Anderson, Taylor, Moore, Jackson, Martin,
    Thompson, White, Harris, Clark, Lewis, Robinson, Walker, Young, Allen, King, Wright, Scott,
    Hill, Green, Adams, Baker, Nelson, Carter, Mitchell, Roberts, Turner, Phillips, Campbell,
    Parker, Evans, Edwards, Collins, Stewart, Morris, Murphy, Cook"""
)
_CITIES = _names(
    """London, Boston, Chicago, Denver, Dallas, Seattle, Portland, Atlanta, Miami, Houston, Phoenix,
    Detroit, Austin, Toronto, Paris, Berlin, Madrid, Dublin, Sydney, Cleveland, Memphis, Baltimore,
    Oakland, Nashville"""
)
_COMPANIES = _names(
    """Northern Bank, City Power and Light, the dental office, Summit Travel, Lakeside Clinic, Blue
    River Insurance, the front desk, Harbor Hotel, Green Valley Pharmacy, Metro Parcel Service"""
)
_ACCOUNTS = _names("""checking, savings, business, joint, credit, travel, rewards""")
_TOPICS = _names(
    """your bill, your order, a refund, the delivery, opening hours, your password, a new account, lost
    luggage, technical support, your reservation, the warranty, a cancellation, your subscription,
    billing questions, directions, the weather, your policy, a claim, store locations, the menu"""
)
_ITEMS = _names(
    """tickets, boxes, pairs of shoes, chairs, batteries, books, lamps, coffee cups, phone cases,
    pizzas, sandwiches, keyboards, blankets, bottles of water, light bulbs, suitcases"""
)
_WEATHER = _names(
    """sunny, cloudy, rainy, windy, foggy, clear and cold, mostly dry, partly cloudy, snowing"""
)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def _money(draw: random.Random) -> str:
    dollars = draw.choice((draw.randint(1, 99), draw.randint(100, 9_999), draw.randint(1, 400)))
    return draw.choice((f"${dollars:,}", f"${dollars:,}.{draw.randint(1, 99):02}", f"{dollars} dollars"))


def _date(draw: random.Random) -> str:
    month, day = draw.choice(_MONTHS), draw.randint(1, 28)
    return draw.choice(
        (f"{month} {day}", f"{month} {day}, {draw.randint(1990, 2030)}", f"the {day}th of {month}")
    )


def _time(draw: random.Random) -> str:
    hour, half = draw.randint(1, 12), draw.choice(("AM", "PM", "a.m.", "p.m."))
    minute = draw.choice((0, 0, 15, 30, 30, 45, draw.randint(1, 59)))
    return f"{hour} {half}" if minute == 0 else f"{hour}:{minute:02} {half}"


def _phone(draw: random.Random) -> str:
    area, first, last = draw.randint(201, 989), draw.randint(200, 999), draw.randint(0, 9_999)
    return draw.choice((f"({area}) {first}-{last:04}", f"{area}-{first}-{last:04}", f"{first}-{last:04}"))


def _code(draw: random.Random) -> str:
    letters = "".join(draw.choices(_LETTERS, k=draw.randint(1, 3)))
    return f"{letters}{draw.randint(10, 9_999)}"


SLOTS: dict[str, Callable[[random.Random], str]] = {
    "money": _money,
    "date": _date,
    "time": _time,
    "phone": _phone,
    "code": _code,
    "account": lambda draw: draw.choice(_ACCOUNTS),
    "big": lambda draw: f"{draw.randint(1_000, 2_000_000):,}",
    "city": lambda draw: draw.choice(_CITIES),
    "company": lambda draw: draw.choice(_COMPANIES),
    "day": lambda draw: draw.choice(_DAYS),
    "digit": lambda draw: str(draw.randint(0, 9)),
    "digits": lambda draw: str(draw.randint(10_000, 999_999)),
    "gate": lambda draw: f"{draw.choice('ABCDE')}{draw.randint(1, 40)}",
    "house": lambda draw: str(draw.randint(1, 2_999)),
    "item": lambda draw: draw.choice(_ITEMS),
    "last4": lambda draw: f"{draw.randint(0, 9_999):04}",
    "person": lambda draw: draw.choice(_PEOPLE),
    "small": lambda draw: str(draw.randint(2, 99)),
    "surname": lambda draw: draw.choice(_SURNAMES),
    "topic": lambda draw: draw.choice(_TOPICS),
    "weather": lambda draw: draw.choice(_WEATHER),
    "year": lambda draw: str(draw.randint(1900, 2030)),
}

_SLOT = re.compile(r"\{(\w+)\}")


def telephone_text(draw: random.Random) -> str:
    """One text of a template with its slots filled, as a caller's system would send it."""
    return _SLOT.sub(lambda slot: SLOTS[slot[1]](draw), draw.choice(TEMPLATES))
