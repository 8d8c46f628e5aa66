/* The words of the primer.  They are few on purpose: a small model must meet each of them often.
 *
 * The nouns of the particle skill appear nowhere else with a particle, in no other list and in no
 * sentence, so that a held-out pair of noun and particle stays unseen. */
#include "data/primer_int.h"

const char *const ko_names[N_KO_NAMES + 1] = {
    "민준", "서연", "지우", "하준", "수아", "도윤", "예린", "시우", "은서", "지호", "유나", "현우", "다은", "준서", "채원", "승민",
    "소율", "태오", "가은", "윤재", "나연", "정우", "세아", "동현"};
const char *const ko_things[N_KO_THINGS + 1] = {
    "우산", "공책", "열쇠", "모자", "가방", "안경", "장갑", "필통", "인형", "물병", "지갑", "편지", "사진", "목도리", "색연필",
    "도시락", "망원경", "카메라", "리코더", "줄넘기"};
const char *const ko_places[N_KO_PLACES + 1] = {
    "교실", "거실", "부엌", "현관", "마당", "도서관", "강당", "복도", "창고", "다락", "운동장", "체육관", "미술실", "음악실",
    "식당", "정류장"};
const char *const ko_surnames[N_SURNAMES + 1] = {"김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오"};
const char *const ko_depts[N_DEPTS + 1] = {"총무과", "재무과", "인사과", "홍보과", "기획과", "민원과", "건설과", "복지과", "교육과",
    "환경과", "세무과", "정보과"};
const char *const ko_rooms[N_ROOMS + 1] = {"제1회의실", "제2회의실", "대회의실", "소회의실", "대강당", "소강당", "전산실", "자료실"};
const char *const ko_errands[N_ERRANDS + 1] = {"정기 회의", "신입 교육", "예산 심의", "업무 보고", "설명회", "간담회", "안전 점검", "장비 대여"};
const char *const ko_codes[N_CODES + 1] = {
    "모두리", "다래미", "소루비", "가나래", "누리모", "도라비", "라온달", "마루솔", "바다솜", "사라빈", "아라솔", "자루미",
    "차오름", "타래솜", "파라빛", "하늬솔", "고운달", "노을빛", "두리솜", "로미솔", "무지빛", "보드미", "새미솔", "오름빛",
    "주리솜", "초롱미", "토리솔", "푸르미", "호롱빛", "기루미", "나비솔", "도담빛", "리나솜", "미르솔", "비나래", "시나빛",
    "이든솔", "지나솜", "치우미", "키아빛", "티나솔", "피나래", "히나솜", "가온빛", "나루솔", "다솜빛", "라비솜", "마음솔",
    "바람빛", "사부미", "아미솔", "자라빛", "차미솜", "타미솔", "파도미", "하루빛", "고래솜", "노루솔", "두루빛", "로아솜"};
const char *const ko_meanings[N_MEANINGS + 1] = {
    "연필", "가위", "풀", "자", "지우개", "칠판", "분필", "책상", "의자", "창문", "시계", "달력", "지도책", "그림책", "물감", "붓",
    "색종이", "도화지", "공", "종", "컵", "접시", "수저", "비누", "수건", "빗", "거품", "단추", "실", "가죽", "끈", "상자", "봉투",
    "우표", "엽서", "신문", "사전", "돋보기", "자석", "나침반"};
const char *const ko_days[7 + 1] = {"월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"};
const char *const ko_weather[] = {"맑음", "흐림", "비", "눈", "바람 조금", "구름 조금", NULL};

const char *const particle_nouns[N_PARTICLE_NOUNS + 1] = {
    /* ends in a vowel */
    "호수", "도로", "지구", "우주", "거미", "사자", "여우", "하마", "치마", "바지", "찌개", "국수", "두부",
    "고추", "배추", "상추", "오이", "토마토", "바나나", "피아노", "라디오", "택시", "무지개", "소나기",
    "번개", "안개", "그네", "시소",
    /* ends in ㄹ */
    "거울", "얼굴", "보물", "비밀", "겨울", "가을", "이슬", "바늘", "그늘", "방울", "터널", "호텔", "메달",
    "저울", "나물", "식물", "동물", "건물",
    /* ends in another consonant */
    "여름", "산책", "약국", "시장", "공원", "병원", "극장", "공항", "사막", "빙산", "화산", "계곡", "사슴",
    "여왕", "왕관", "군밤", "된장", "김밥", "비빔밥", "떡국", "수박", "레몬", "당근", "버섯", "호박", "라면"};

const char *const en_names[N_EN_NAMES + 1] = {
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivy", "Jack", "Kate", "Leo", "Mia", "Noah",
    "Olivia",
    "Paul", "Rose", "Sam", "Tina", "Victor", "Wendy", "Lucy", "Oscar", "Nora"};
const char *const en_things[N_EN_THINGS + 1] = {
    "key", "ball", "lamp", "map", "bell", "kite", "drum", "coin", "rope", "vase", "ring", "flute", "brush", "scarf",
    "ladder",
    "basket", "candle", "whistle", "blanket", "letter"};
const char *const en_places[N_EN_PLACES + 1] = {
    "kitchen", "garden", "garage", "attic", "library", "office", "bedroom", "cellar", "barn", "hallway", "classroom",
    "museum",
    "stable", "workshop"};
const char *const en_weather[] = {"sunny", "cloudy", "rainy", "windy", "snowy", "warm", NULL};
const char *const en_months[12 + 1] = {"January", "February", "March", "April", "May", "June", "July", "August",
    "September",
    "October", "November", "December"};

const struct counted counted_nouns[N_COUNTED] = {
    {"사과", "개"}, {"달걀", "개"}, {"감자", "개"}, {"단추", "개"}, {"의자", "개"}, {"상자", "개"}, {"책", "권"}, {"공책", "권"},
    {"잡지", "권"}, {"사전", "권"}, {"고양이", "마리"}, {"강아지", "마리"}, {"토끼", "마리"}, {"물고기", "마리"}, {"참새", "마리"},
    {"닭", "마리"}, {"학생", "명"}, {"어린이", "명"}, {"친구", "명"}, {"선수", "명"}, {"연필", "자루"}, {"붓", "자루"},
    {"볼펜", "자루"}, {"종이", "장"}, {"우표", "장"}, {"수건", "장"}, {"자동차", "대"}, {"자전거", "대"}, {"버스", "대"},
    {"비행기", "대"}, {"장미", "송이"}, {"국화", "송이"}, {"튤립", "송이"}, {"소나무", "그루"}, {"은행나무", "그루"},
    {"단풍나무", "그루"}, {"양말", "켤레"}, {"운동화", "켤레"}, {"구두", "켤레"}, {"우유", "병"}, {"주스", "병"}, {"녹차", "잔"},
    {"외투", "벌"}, {"기와집", "채"}};

const struct word_pair pair_adjs[N_PAIR_ADJS] = {
    {"빨간", "red"}, {"파란", "blue"}, {"노란", "yellow"}, {"하얀", "white"}, {"검은", "black"},
    {"작은", "small"}, {"큰", "big"}, {"긴", "long"}, {"둥근", "round"}, {"낡은", "old"}, {"무거운", "heavy"},
    {"깨끗한", "clean"}, {"예쁜", "pretty"}, {"차가운", "cold"}};
const struct word_pair pair_nouns[N_PAIR_NOUNS] = {
    {"사과", "apple"}, {"책", "book"}, {"모자", "hat"}, {"가방", "bag"}, {"컵", "cup"}, {"의자", "chair"},
    {"책상", "desk"}, {"문", "door"}, {"상자", "box"}, {"꽃", "flower"}, {"돌", "stone"}, {"공", "ball"},
    {"집", "house"}, {"배", "boat"}, {"접시", "plate"}, {"바구니", "basket"}, {"우산", "umbrella"},
    {"시계", "clock"}, {"침대", "bed"}, {"빵", "bread"}, {"물고기", "fish"}, {"고양이", "cat"},
    {"강아지", "puppy"}, {"말", "horse"}, {"자전거", "bicycle"}, {"기차", "train"}, {"연필", "pencil"},
    {"병", "bottle"}};

/* The first is a thousand of the second. */
const struct word_pair big_small_units[N_UNITS] = {
    {"킬로그램", "그램"}, {"킬로미터", "미터"}, {"리터", "밀리리터"}, {"톤", "킬로그램"}, {"미터", "밀리미터"}};

const struct polar polar_adjs[N_POLAR] = {
    {"taller", "shorter"}, {"older", "younger"}, {"faster", "slower"}, {"stronger", "weaker"}, {"heavier", "lighter"},
    {"richer", "poorer"}};
